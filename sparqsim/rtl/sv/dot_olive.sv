// PAIRS decoded pairs of either operand, {shift, integer2, integer1} each: both products of a pair count 2^(both shifts), so they are added
// first and shifted together. Where either has an outlier, the other product is 0, and the sum stays within 16 bits.
module dot_olive #(parameter PAIRS = 2, SIGNED = 0) (
    input [PAIRS*`PAIR-1:0] a,
    input [PAIRS*`PAIR-1:0] w,
    output signed [`VALUE-1:0] value
);
    genvar p;
    generate
        for (p = 0; p < PAIRS; p = p + 1) begin : pair
            wire [`PAIR-1:0] x = a[p*`PAIR+:`PAIR], y = w[p*`PAIR+:`PAIR];
            wire signed [4:0] x1 = {(SIGNED != 0) & x[3], x[3:0]}, x2 = {(SIGNED != 0) & x[7], x[7:4]};
            wire signed [3:0] y1 = y[3:0], y2 = y[7:4];
            wire signed [8:0] products = x1 * y1 + x2 * y2;
            wire [3:0] shift = x[10:8] + y[10:8];
            wire signed [15:0] shifted = products <<< shift;
            wire signed [`VALUE-1:0] sum;
            if (p == 0) begin : one
                assign sum = shifted;
            end else begin : more
                assign sum = pair[p-1].sum + shifted;
            end
        end
    endgenerate
    assign value = pair[PAIRS-1].sum;
endmodule
