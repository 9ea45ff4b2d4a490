// Activations under the masks of PER_CYCLE shift positions, added and shifted there; the next positions in every further cycle.
module dot_swis #(parameter LANES = 4, SIGNED = 0, SHIFTS = 3, PER_CYCLE = 1) (
    input [8*LANES-1:0] a,
    input [LANES*(1+SHIFTS)+3*SHIFTS-1:0] w,  // {positions, of each lane {sign, a mask bit per position}}
    input [3:0] now,                          // {first position's number over PER_CYCLE, not the first cycle}
    output [3:0] next,
    output signed [`VALUE-1:0] value
);
    localparam CYCLES = (SHIFTS + PER_CYCLE - 1) / PER_CYCLE;
    wire [3*SHIFTS-1:0] positions = w[LANES*(1+SHIFTS)+:3*SHIFTS];
    wire [2:0] cycle = now[0] ? now[3:1] : 3'd0;
    assign next = {cycle + 3'd1, cycle != CYCLES - 1};

    genvar u, k;
    generate
        for (u = 0; u < PER_CYCLE; u = u + 1) begin : unit
            wire [5:0] number = cycle * PER_CYCLE + u;
            wire [2:0] position = number < SHIFTS ? positions[3*number+:3] : 3'd0;
            for (k = 0; k < LANES; k = k + 1) begin : lane
                wire [SHIFTS:0] weight = w[(1+SHIFTS)*k+:1+SHIFTS];
                wire signed [8:0] activation = {(SIGNED != 0) & a[8*k+7], a[8*k+:8]};
                wire signed [9:0] directed = weight[SHIFTS] ? -activation : activation;
                wire masked = number < SHIFTS & weight[number];
                wire signed [`VALUE-1:0] term = masked ? directed : 10'sd0;
                wire signed [`VALUE-1:0] sum;
                if (k == 0) begin : one
                    assign sum = term;
                end else begin : further
                    assign sum = lane[k-1].sum + term;
                end
            end
            wire signed [`VALUE-1:0] total;
            wire signed [`VALUE-1:0] shifted = lane[LANES-1].sum <<< position;
            if (u == 0) begin : one
                assign total = shifted;
            end else begin : further
                assign total = unit[u-1].total + shifted;
            end
        end
    endgenerate
    assign value = unit[PER_CYCLE-1].total;
endmodule
