// 16 multipliers of two bits: four groups of four. Within a group, and then between groups, neighbours work on the digits of one
// operand, shifted to their places, or on lanes of their own, as the operands are narrow.
module dot_fusion #(parameter SIGNED = 0) (
    input [35:0] a,  // {weights' mode, activations' mode, activations}; a mode is 0, 1 or 2 for operands of 2, 4 or 8 bits
    input [31:0] w,
    output signed [`VALUE-1:0] value
);
    wire [1:0] mode_w, mode_a;
    assign {mode_w, mode_a} = a[35:32];

    genvar g, q, m, n;
    generate
        for (g = 0; g < 4; g = g + 1) begin : group
            for (q = 0; q < 4; q = q + 1) begin : brick
                // What this multiplier takes in every mode: two bits of each operand, and whether they are its highest.
                wire [2:0] digits_a[0:8], digits_w[0:8];
                for (m = 0; m < 3; m = m + 1) begin : activations
                    for (n = 0; n < 3; n = n + 1) begin : weights
                        // Upper bits of g and q are about the activation, lower ones about the weight: a bit names the digit, or the
                        // lane where operands are too narrow for it.
                        localparam DIGIT_A = m == 2 ? g / 2 * 2 + q / 2 : m == 1 ? q / 2 : 0;
                        localparam DIGIT_W = n == 2 ? g % 2 * 2 + q % 2 : n == 1 ? q % 2 : 0;
                        localparam LANE_A = m == 2 ? 0 : m == 1 ? g / 2 : g / 2 * 2 + q / 2;
                        localparam LANE_W = n == 2 ? 0 : n == 1 ? g % 2 : g % 2 * 2 + q % 2;
                        localparam LANE = LANE_A * (4 >> n) + LANE_W;
                        localparam AT_A = (LANE << m) + DIGIT_A, AT_W = (LANE << n) + DIGIT_W;
                        assign digits_a[3*m+n] = {DIGIT_A == (1 << m) - 1, a[2*AT_A+:2]};
                        assign digits_w[3*m+n] = {DIGIT_W == (1 << n) - 1, w[2*AT_W+:2]};
                    end
                end
                wire [3:0] mode = 3 * mode_a + mode_w;
                wire [2:0] digit_a = digits_a[mode], digit_w = digits_w[mode];
                wire signed [2:0] left = {(SIGNED != 0) & digit_a[2] & digit_a[1], digit_a[1:0]};
                wire signed [2:0] right = {digit_w[2] & digit_w[1], digit_w[1:0]};
                wire signed [5:0] product = left * right;
                wire [2:0] places = ((q / 2) & (mode_a != 0)) + ((q % 2) & (mode_w != 0));
                wire signed [`VALUE-1:0] sum;
                wire signed [`VALUE-1:0] shifted = product <<< (2 * places);
                if (q == 0) begin : one
                    assign sum = shifted;
                end else begin : further
                    assign sum = brick[q-1].sum + shifted;
                end
            end
            wire [2:0] places = ((g / 2) & (mode_a == 2)) + ((g % 2) & (mode_w == 2));
            wire signed [`VALUE-1:0] total;
            wire signed [`VALUE-1:0] shifted = brick[3].sum <<< (4 * places);
            if (g == 0) begin : one
                assign total = shifted;
            end else begin : further
                assign total = group[g-1].total + shifted;
            end
        end
    endgenerate
    assign value = group[3].total;
endmodule
