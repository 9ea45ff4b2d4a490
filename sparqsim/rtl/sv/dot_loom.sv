// Lanes whose activation and weight both have a one at the cycle's positions, counted and shifted there. A step goes through the
// weights' positions for every position of the activations, the lowest first.
module dot_loom #(parameter LANES = 16, SIGNED = 0) (
    input [8*LANES+5:0] a,  // {last position of the weights, of the activations, activations}
    input [8*LANES-1:0] w,
    input [6:0] now,        // {position of the activations, of the weights, not the first cycle}
    output [6:0] next,
    output signed [`VALUE-1:0] value
);
    wire [2:0] last_w, last_a;
    assign {last_w, last_a} = a[8*LANES+:6];
    wire [2:0] place_a = now[0] ? now[6:4] : 3'd0;
    wire [2:0] place_w = now[0] ? now[3:1] : 3'd0;
    wire ends_a = place_a == last_a, ends_w = place_w == last_w;
    assign next = {ends_w ? place_a + 3'd1 : place_a, ends_w ? 3'd0 : place_w + 3'd1, ~(ends_a & ends_w)};

    genvar k;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire [7:0] activation = a[8*k+:8], weight = w[8*k+:8];
            wire both = activation[place_a] & weight[place_w];
            wire [6:0] count;
            if (k == 0) begin : one
                assign count = both;
            end else begin : further
                assign count = lane[k-1].count + both;
            end
        end
    endgenerate

    // Two's complement: the highest bits count negative.
    wire negative = (SIGNED != 0) & ends_a ^ ends_w;
    wire signed [`VALUE-1:0] count = lane[LANES-1].count;
    assign value = (negative ? -count : count) <<< ({1'b0, place_a} + {1'b0, place_w});
endmodule
